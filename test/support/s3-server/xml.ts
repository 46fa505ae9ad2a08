/** The few documents of S3's protocol, out and in. */

type Content = string | number | readonly Element[]
export type Element = readonly [name: string, content: Content]

export function document(name: string, content: Content): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element([name, content])}`
}

function element([name, content]: Element): string {
  const inner = Array.isArray(content)
    ? content.map((child: Element) => element(child)).join('')
    : escape(String(content))
  return `<${name}>${inner}</${name}>`
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&apos;')
}

/** The texts of all elements of this name, wherever they are. */
export function textsOf(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map(([, text = '']) =>
    unescape(text),
  )
}

function unescape(text: string): string {
  return text
    .replaceAll(/&#x([0-9a-fA-F]+);/g, (_, code: string) =>
      String.fromCodePoint(Number.parseInt(code, 16)),
    )
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&')
}
