// Empties dist/ before a build but keeps .keep, which lets `go build` work without built pages.
import { readdirSync, rmSync } from 'node:fs'

const dist = new URL('../dist/', import.meta.url)
for (const name of readdirSync(dist)) if (name !== '.keep') rmSync(new URL(name, dist), { recursive: true })
