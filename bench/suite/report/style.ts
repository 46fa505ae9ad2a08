/**
 * The colours of charts and report, light and dark. Text and marks have a contrast of at least 4.5 and 3 to the ground; the lines are
 * those of Okabe and Ito, which colour-blind readers tell apart, darkened or lightened to that.
 */

/** How many `--series-n` there are, from 0. */
export const SERIES_COLOURS = 7

const LIGHT = `--ground: #ffffff; --raised: #f6f8fa; --ink: #1f2328; --muted: #59636e; --grid: #d1d9e0;
  --ours: #b45309; --peer: #8c959f; --good: #1a7f37; --bad: #cf222e; --link: #0969da;
  --series-0: #b45309; --series-1: #0072b2; --series-2: #007a5a; --series-3: #a8437f; --series-4: #57606a;
  --series-5: #6f42c1; --series-6: #8a6d00;`
const DARK = `--ground: #0d1117; --raised: #151b23; --ink: #e6edf3; --muted: #9198a1; --grid: #3d444d;
  --ours: #f0883e; --peer: #768390; --good: #3fb950; --bad: #ff7b72; --link: #58a6ff;
  --series-0: #f0883e; --series-1: #56b4e9; --series-2: #2fbf94; --series-3: #e58fc4; --series-4: #adbac7;
  --series-5: #b392f0; --series-6: #e3c94b;`

/** The variables, on the element that `selector` names. */
export function colours(selector: string): string {
  return `${selector} { color-scheme: light dark; ${LIGHT} }
@media (prefers-color-scheme: dark) { ${selector} { ${DARK} } }`
}
