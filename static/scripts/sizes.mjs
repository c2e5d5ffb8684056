// Prints what a viewer's phone loads first for each page, gzipped, and fails when the room's scripts pass their budget.
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

const budget = 100 * 1024
const dist = new URL('../dist/', import.meta.url)
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', dist)))
const size = (file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length

/** Everything that must have arrived before the page of `entry` can show. */
function needs(entry, seen = new Set()) {
  const chunk = manifest[entry]
  if (!chunk || seen.has(chunk.file)) return seen
  seen.add(chunk.file)
  for (const css of chunk.css ?? []) seen.add(css)
  for (const next of chunk.imports ?? []) needs(next, seen)
  return seen
}

const pages = { home: 'src/home/HomePage.vue', room: 'src/room/RoomPage.vue', studio: 'src/studio/StudioSession.vue' }
for (const [name, entry] of Object.entries(pages)) {
  const files = [...needs('index.html', needs(entry))]
  const sum = (end) => files.filter((f) => f.endsWith(end)).reduce((n, f) => n + size(f), 0)
  const js = sum('.js')
  console.log(`${name.padEnd(7)} scripts ${(js / 1024).toFixed(1)} KiB, styles ${(sum('.css') / 1024).toFixed(1)} KiB gzip`)
  if (name === 'room' && js > budget) {
    console.error(`the room's scripts are over ${budget / 1024} KiB`)
    process.exitCode = 1
  }
}
