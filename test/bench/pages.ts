/** HTML and SVG as tests look at them. */
import { parseHTML } from 'linkedom'
import { expect } from 'vitest'

export interface Page {
  readonly documentElement: { readonly textContent: string }
  querySelector(selector: string): { readonly textContent: string } | null
  querySelectorAll(selector: string): Iterable<{ readonly textContent: string }>
}

export function pageOf(html: string): Page {
  return (parseHTML(html) as { document: Page }).document
}

export function textsOf(html: string, selector: string): string[] {
  return [...pageOf(html).querySelectorAll(selector)].map(({ textContent }) => textContent)
}

/** Every element is closed by its own name, in order, and no text holds a bare sign. */
export function expectWellFormed(xml: string): void {
  const open: string[] = []
  const tag = /<(\/?)([a-zA-Z][\w:-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/g
  for (const [, closing, name, , empty] of xml.matchAll(tag)) {
    if (closing === '/') expect(open.pop()).toBe(name)
    else if (empty === '') open.push(name ?? '')
  }
  expect(open).toEqual([])
  expect(xml.replaceAll(tag, '')).not.toMatch(/<|&(?!(?:amp|lt|gt|quot|#39|#160);)/)
}
