// A network on one machine: a bridge, and places (network namespaces) on it, each with a line that can be made bad.
// tools/lab has put us into namespaces of our own, so nothing here is seen outside or outlives us.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, type BrowserContext, chromium } from '@playwright/test'

const net = '10.77.0'
export const home = `http://${net}.1:8080`
const mediaPort = 8443

const run = (command: string, ...args: string[]): string => execFileSync(command, args, { encoding: 'utf8' })
const ip = (line: string): string => run('ip', ...line.split(' '))

/** What is wrong with a place's line, in per mille of lost packets or all of some kind; towards the place or away from it. */
export interface Trouble {
  down?: number // per mille of the packets towards the place that are lost
  up?: number // per mille of the packets from the place
  udp?: 'blocked'
}

/** One end of a line: a network namespace with one address. */
export class Place {
  private address = ''
  private readonly port: string

  private chromium: Browser | undefined

  constructor(
    readonly name: string,
    host: number,
    private readonly folder: string,
  ) {
    this.port = `p-${name}`
    ip(`netns add ${name}`)
    ip(`link add ${this.port} type veth peer name eth0 netns ${name}`)
    ip(`link set ${this.port} master lab up gso_max_segs 1`)
    // One packet is one packet: a batch that crossed the line in one piece would be lost in one piece.
    ip(`-n ${name} link set eth0 up gso_max_segs 1`)
    ip(`-n ${name} link set lo up`)
    this.move(host)
  }

  /** Gives the place another address, as when a phone leaves Wi-Fi. */
  move(host: number): void {
    if (this.address) ip(`-n ${this.name} addr del ${this.address}/24 dev eth0`)
    this.address = `${net}.${host}`
    ip(`-n ${this.name} addr add ${this.address}/24 dev eth0`)
  }

  /** Makes the line lossy; nothing given: good again. */
  trouble(t: Trouble = {}): void {
    const drop = (perMille = 0): string[] => {
      if (perMille >= 1000) return ['drop']
      return perMille > 0 ? [`numgen random mod 1000 < ${perMille} drop`] : []
    }
    const udp = t.udp === 'blocked' ? ['ip protocol udp drop'] : []
    ingress(['ip', 'netns', 'exec', this.name], 'eth0', [...udp, ...drop(t.down)])
    ingress([], this.port, [...udp, ...drop(t.up)])
  }

  /** Makes the line good again. */
  mend(): void {
    this.trouble()
    this.narrow()
  }

  /** Narrows the line towards the place to so many kbit/s, with room for 3 s in the queue; nothing given: wide again. */
  narrow(kbit?: number): void {
    if (!kbit) return void run('tc', 'qdisc', 'replace', 'dev', this.port, 'root', 'pfifo')
    const queue = Math.round((kbit * 1000 * 3) / 8)
    run('tc', ...`qdisc replace dev ${this.port} root tbf rate ${kbit}kbit burst 10kb limit ${queue}`.split(' '))
  }

  /** Bytes that wait in a narrowed line's queue now, and packets it has dropped since it was narrowed. */
  queue(): { bytes: number; dropped: number } {
    const [q] = JSON.parse(run('tc', '-s', '-j', 'qdisc', 'show', 'dev', this.port)) as { backlog: number; drops: number }[]
    return { bytes: q?.backlog ?? 0, dropped: q?.drops ?? 0 }
  }

  /** A fresh window of a Chromium that lives here, with a film for its camera if one is given. */
  async context(camera?: string, viewport = { width: 390, height: 700 }): Promise<BrowserContext> {
    if (!this.chromium?.isConnected()) this.chromium = await this.launch(camera)
    return this.chromium.newContext({
      baseURL: home,
      viewport,
      locale: 'zh-CN',
      reducedMotion: 'reduce', // two processors for everybody
      permissions: camera ? ['camera', 'microphone'] : [],
    })
  }

  private async launch(camera?: string): Promise<Browser> {
    const wrapper = join(this.folder, `chromium-${this.name}`)
    writeFileSync(wrapper, `#!/bin/sh\nexec ip netns exec ${this.name} /usr/bin/chromium "$@"\n`)
    chmodSync(wrapper, 0o755)
    const film = camera ? [`--use-file-for-fake-video-capture=${camera}`] : []
    return chromium.launch({ executablePath: wrapper, args: [...flags, ...film] })
  }

  /** Ends every process at the place at once, as when a machine loses power. */
  slay(): void {
    const all = ip(`netns pids ${this.name}`).split('\n').filter(Boolean)
    for (const pid of all) {
      try {
        process.kill(Number(pid), 'SIGKILL')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // one has gone with its parent
      }
    }
    this.chromium = undefined
  }

  /** Takes the line and the place away; its name is free at once, though the kernel may clean up later. */
  remove(): void {
    ip(`link del ${this.port}`)
    ip(`netns del ${this.name}`)
  }

  /** Closes the Chromium, with its pages' good-byes. */
  async close(): Promise<void> {
    await this.chromium?.close().catch(() => {})
    this.chromium = undefined
  }
}

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  `--unsafely-treat-insecure-origin-as-secure=${home}`,
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
]

function ingress(inside: string[], device: string, rules: string[]): void {
  const chain = rules.length === 0 ? '' : `chain in {\ntype filter hook ingress device "${device}" priority 0\n${rules.join('\n')}\n}\n`
  const table = `table netdev ${device}`
  const text = `${table}\ndelete ${table}\n${table} {\n${chain}}\n`
  const [command, ...args] = [...inside, 'nft', '-f', '-']
  execFileSync(command!, args, { input: text })
}

/** The whole laboratory: the bridge, the server's place and the server. */
export class Lab {
  readonly folder = mkdtempSync(join(tmpdir(), 'ddp-lab-'))
  readonly server: Place
  private process: ChildProcess | undefined
  private next = 10
  private places = new Map<string, Place>()

  constructor() {
    ip('link add lab type bridge')
    ip(`addr add ${net}.254/24 dev lab`)
    ip('link set lab up')
    this.server = new Place('server', 1, this.folder)
  }

  /** The place of this name, made when first asked for. */
  place(name: string): Place {
    const known = this.places.get(name)
    if (known) return known
    const made = new Place(name, this.next++, this.folder)
    this.places.set(name, made)
    return made
  }

  private settings(): string[] {
    const data = join(this.folder, 'data')
    const at = ['--http-addr', `${net}.1:8080`, '--media-addr', `${net}.1:${mediaPort}`, '--public-ips', `${net}.1`]
    return [...at, '--data-dir', data, '--database-url', `sqlite:${data}.db`, '--metrics-token', 'lab']
  }

  /** Starts the server, again after kill. */
  async start(): Promise<void> {
    const log = process.env.LAB_LOG ? 'inherit' : 'ignore'
    this.process = spawn('ip', ['netns', 'exec', 'server', '../bin/duoduopin', 'serve', '--migrate', ...this.settings()], { stdio: log })
    for (let i = 0; i < 600; i++) {
      if ((await fetch(`${home}/readyz`).catch(() => null))?.status === 200) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error('the server was not ready within 30 s')
  }

  /** Ends the server, by default as a power cut would. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const p = this.process
    if (!p || p.exitCode !== null || p.signalCode !== null) return
    const gone = once(p, 'exit')
    p.kill(signal)
    await gone
  }

  /** Runs another command of the server's binary beside it, such as `user token NAME`. */
  command(...args: string[]): string {
    return run('ip', 'netns', 'exec', 'server', '../bin/duoduopin', ...args, ...this.settings()).trim()
  }

  /** CPU seconds that the server has used. */
  cpu(): number {
    const stat = run('cat', `/proc/${this.process!.pid}/stat`)
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100 // utime and stime of proc_pid_stat(5), in USER_HZ
  }

  /** Closes every Chromium and mends every line, for the next test. */
  async clear(): Promise<void> {
    await Promise.all([...this.places.values()].map((p) => p.close()))
    for (const p of this.places.values()) p.mend()
  }

  async close(): Promise<void> {
    await Promise.all([...this.places.values()].map((p) => p.close()))
    await this.kill('SIGTERM')
    for (const p of [this.server, ...this.places.values()]) p.remove()
    ip('link del lab')
    rmSync(this.folder, { recursive: true, force: true })
  }
}
