package chat

import "github.com/gorilla/websocket"

// The close codes that this server sends. 4000-4499 mean: do not come back. 4500-4999 and 1012 mean: come back, with
// ?after= and the wait that stands beside them. The same table is in docs/protocol.md. 1002, 1007, 1009, 4429, 4508 and 4510
// are sent by the socket itself (chat/socket).
//
//	code  meaning                                              come back
//	1002  the frames broke the protocol (RFC 6455)             no: mend the client
//	1007  a text frame was not UTF-8                           no: mend the client
//	1009  a message was larger than 4 KiB                      no: it would happen again
//	1012  the server restarts; reason "retry_ms=N"             after N ms
//	4400  three frames that are no messages                    no
//	4401  the account was disabled or its password reset       no: sign in first
//	4403  a moderator banned the person; the reason says why    no
//	4410  the session is over; history has been sent           no
//	4429  far more frames than allowed                         no (a person may try again in a minute)
//	4508  too slow: 256 KiB or 5 s were waiting                at once; usually seen as 1006, as the line is full
//	4509  the room's log starts anew or has a hole             at once; hello says resumed: false
//	4510  a message was begun and not there 10 s later         at once
const (
	codeRestart = websocket.CloseServiceRestart // 1012
	codeBad     = 4400
	codeSignIn  = 4401
	codeBanned  = 4403
	codeOver    = 4410
	codeReset   = 4509
)
