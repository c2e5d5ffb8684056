// The little SDP that an ICE restart needs (RFC 8840, section 9; RFC 9725, section 4.3.3). Bundled: the first m-line's
// credentials are everybody's. Plain TypeScript.

const first = (sdp: string, key: string): string => new RegExp(`^a=${key}:(.*)$`, 'm').exec(sdp)?.[1]?.trim() ?? ''

/** What we send: the credentials of our new offer. Candidates are not told, the server learns our side from the first packets. */
export function fragmentOf(offer: string): string {
  const m = /^m=.*$/m.exec(offer)?.[0].trim() ?? 'm=audio 9 RTP/AVP 0'
  const lines = [
    'a=ice-options:trickle ice2',
    m,
    `a=mid:${first(offer, 'mid')}`,
    `a=ice-ufrag:${first(offer, 'ice-ufrag')}`,
    `a=ice-pwd:${first(offer, 'ice-pwd')}`,
  ]
  return lines.join('\r\n') + '\r\n'
}

/** The answer to our new offer: the last one with the server's new credentials and candidates. */
export function answerWith(answer: string, fragment: string): string {
  const ufrag = first(fragment, 'ice-ufrag')
  const pwd = first(fragment, 'ice-pwd')
  if (!ufrag || !pwd) throw new Error('the fragment has no credentials')
  const candidates = fragment.match(/^a=(candidate:.*|end-of-candidates)$/gm)?.map((l) => l.trim()) ?? []
  const lines = answer
    .split(/\r?\n/)
    .filter((l) => candidates.length === 0 || !/^a=(candidate:|end-of-candidates)/.test(l))
    .map((l) => l.replace(/^a=ice-ufrag:.*/, `a=ice-ufrag:${ufrag}`).replace(/^a=ice-pwd:.*/, `a=ice-pwd:${pwd}`))
  const end = lines.findIndex((l, i) => l.startsWith('m=') && lines.slice(0, i).some((x) => x.startsWith('m=')))
  lines.splice(end < 0 ? lines.length - Number(lines.at(-1) === '') : end, 0, ...candidates)
  return lines.join('\r\n')
}
