/** Puts text on the clipboard; false where the page may not (plain HTTP): the person then copies by hand. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false
  }
}
