/** Figures as they come in, sample by sample, in any order. */
import type { BenchFigure } from './part.js'

export class FigureCollector {
  readonly #figures = new Map<string, Omit<BenchFigure, 'samples'> & { samples: number[] }>()

  add(figure: Omit<BenchFigure, 'samples'>, ...samples: readonly number[]): void {
    const id = JSON.stringify([figure.name, figure.contender, figure.x])
    const known = this.#figures.get(id)
    if (known !== undefined) known.samples.push(...samples)
    else this.#figures.set(id, { ...figure, samples: [...samples] })
  }

  /** In the order in which they were first seen; those without a sample left out. */
  get figures(): BenchFigure[] {
    return [...this.#figures.values()].filter(({ samples }) => samples.length > 0)
  }
}
