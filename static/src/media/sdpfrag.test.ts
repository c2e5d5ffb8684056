import { describe, expect, it } from 'vitest'
import { answerWith, fragmentOf } from './sdpfrag'

const sdp = (...lines: string[]) => lines.join('\r\n') + '\r\n'
const answer = sdp(
  'v=0',
  'a=group:BUNDLE 0 1',
  'm=video 9 UDP/TLS/RTP/SAVPF 102',
  'a=mid:0',
  'a=ice-ufrag:oldu',
  'a=ice-pwd:oldoldoldoldoldoldoldol',
  'a=candidate:1 1 udp 1 192.0.2.1 1 typ host',
  'a=end-of-candidates',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111',
  'a=mid:1',
  'a=ice-ufrag:oldu',
  'a=ice-pwd:oldoldoldoldoldoldoldol',
)

describe('fragmentOf', () => {
  it('tells the first m-line and its credentials', () => {
    expect(fragmentOf(answer)).toBe(
      sdp(
        'a=ice-options:trickle ice2',
        'm=video 9 UDP/TLS/RTP/SAVPF 102',
        'a=mid:0',
        'a=ice-ufrag:oldu',
        'a=ice-pwd:oldoldoldoldoldoldoldol',
      ),
    )
  })
})

describe('answerWith', () => {
  const fragment = sdp('a=ice-ufrag:newu', 'a=ice-pwd:newnewnewnewnewnewnewn', 'a=candidate:2 1 udp 1 192.0.2.2 2 typ host')
  it('puts the new credentials everywhere and the new candidates to the first m-line', () => {
    const got = answerWith(answer, fragment)
    expect(got).not.toContain('old')
    expect(got.match(/a=ice-ufrag:newu/g)).toHaveLength(2)
    expect(got.match(/a=candidate/g)).toHaveLength(1)
    expect(got.indexOf('192.0.2.2')).toBeLessThan(got.indexOf('m=audio'))
    expect(got.endsWith('\r\n')).toBe(true)
  })
  it('keeps the candidates it had when the fragment names none', () => {
    expect(answerWith(answer, sdp('a=ice-ufrag:newu', 'a=ice-pwd:newnewnewnewnewnewnewn'))).toContain('192.0.2.1')
  })
  it('refuses a fragment without credentials', () => expect(() => answerWith(answer, 'a=mid:0\r\n')).toThrow())
})
