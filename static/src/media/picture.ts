// What one viewer wants to be sent: quality, whether pictures at all, whose picture is the large one. Told to the server by
// PUT on the address that its answer named; the newest wish wins, one call at a time. Plain TypeScript.

export type Quality = 'auto' | 'smooth' | 'clear'

export interface PictureWish {
  quality: Quality
  video: boolean // false: sound only, for a page that nobody sees
  focus: string // the anchor shown large, '' = who speaks
}

const unasked: PictureWish = { quality: 'auto', video: true, focus: '' } // what a new connection is like
const again = 2_000 // ms until a call that failed is repeated

export class PictureLine {
  private address = ''
  private told: PictureWish = unasked
  private busy = false
  private timer: ReturnType<typeof setTimeout> | undefined
  private height: number | null = null

  constructor(
    private wish: PictureWish,
    private readonly onHeight: (height: number | null) => void = () => {},
  ) {}

  get now(): PictureWish {
    return this.wish
  }
  /** True while the server takes wishes. */
  get open(): boolean {
    return this.address !== ''
  }

  want(some: Partial<PictureWish>): void {
    this.wish = { ...this.wish, ...some }
    void this.tell()
  }

  /** Another connection: its address, '' for none. */
  use(address: string): void {
    clearTimeout(this.timer)
    this.address = address
    this.told = unasked
    void this.tell()
  }

  private async tell(): Promise<void> {
    clearTimeout(this.timer)
    const { address, wish } = this
    if (this.busy || !address || same(wish, this.told)) return
    this.busy = true
    const status = await this.put(address, wish)
    this.busy = false
    if (address !== this.address) return void this.tell() // it was another connection's
    if (status === 404 || status === 405) return void (this.address = '') // it knows no such thing
    const final = status >= 200 && status < 500 && status !== 429
    if (!final) return void (this.timer = setTimeout(() => void this.tell(), again))
    this.told = wish // also one that was refused: the same words would be refused again
    void this.tell()
  }

  private async put(address: string, wish: PictureWish): Promise<number> {
    try {
      const response = await fetch(address, {
        method: 'PUT',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(wish),
        credentials: 'same-origin',
        keepalive: true, // a page that is being hidden may sleep before it is sent
        signal: AbortSignal.timeout(5_000),
      })
      if (response.ok) this.heard((await response.json().catch(() => ({}))) as { height?: number })
      return response.status
    } catch {
      return 0
    }
  }

  private heard(answer: { height?: number }): void {
    const height = answer.height || null
    if (height !== this.height) this.onHeight((this.height = height))
  }
}

const same = (a: PictureWish, b: PictureWish): boolean => a.quality === b.quality && a.video === b.video && a.focus === b.focus
