// A client of Duoduopin's rooms in plain JavaScript (docs/protocol.md), for browsers and Node.js. Events go to onEvent, oldest
// first, without gaps or repetitions over reconnections; what was said and has not appeared is said again. As a command:
//   node --experimental-websocket room.mjs http://localhost:8080/api/v1/sessions/7 TOKEN
// prints each event as a line of JSON and says each line of its input.
export function openRoom(session, token, onEvent) {
  const unsure = new Map() // what was said and has not appeared, by id
  const place = {} // the newest kept event we have, and the log that it is in
  let socket, you, pulse, over = false, tries = 0
  const send = (message) => socket.readyState === 1 && socket.send(JSON.stringify(message))

  function connect() {
    if (over) return
    const query = new URLSearchParams({ ...place, ...(token ? { token } : {}) })
    socket = new WebSocket(`${session.replace(/^http/, 'ws')}/ws?${query}`)
    socket.onmessage = ({ data }) => {
      clearTimeout(pulse)
      pulse = setTimeout(() => socket.close(), 35_000) // the server says something every 25 s
      for (const event of JSON.parse(data)) take(event)
    }
    socket.onclose = ({ code, reason }) => {
      clearTimeout(pulse)
      if (over || code === 1009 || (code >= 4000 && code < 4500)) return onEvent({ type: 'closed', code, reason })
      const told = /^retry_ms=(\d+)$/.exec(reason)
      setTimeout(connect, told ? Number(told[1]) : Math.min(15_000, 500 * 2 ** tries++) * (0.5 + Math.random()))
    }
  }

  function take(event) {
    if (event.type === 'hello') {
      tries = 0
      you = event.you.id
      place.epoch = event.epoch
      if (!event.resumed) delete place.after // what comes now is not what followed: show it anew
      for (const message of unsure.values()) send(message)
    } else if (event.seq) place.after = event.seq
    if (event.type === 'refused' || (event.type === 'chat' && event.user.id === you)) unsure.delete(event.id)
    onEvent(event)
  }

  connect()
  return {
    say(text) {
      const message = { type: 'chat', id: crypto.randomUUID(), text }
      unsure.set(message.id, message)
      send(message)
    },
    close() { over = true; socket.close(1000) },
  }
}

if (globalThis.process?.argv[1]?.endsWith('room.mjs')) {
  const room = openRoom(process.argv[2], process.argv[3], (event) => console.log(JSON.stringify(event)))
  const { createInterface } = await import('node:readline')
  createInterface({ input: process.stdin }).on('line', room.say).on('close', room.close)
}
