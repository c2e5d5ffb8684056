package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

// TestRecords follows what was said from the room to the exports, and a person out of it, from outside and by command.
func TestRecords(t *testing.T) {
	for name, url := range map[string]string{"sqlite": testshop.SQLiteURL(t), "postgres": testshop.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) { followRecords(t, url) })
	}
}

func followRecords(t *testing.T, url string) {
	s := newTestShop(t, testOptions{database: url})
	operator := s.as(t, s.account(t, "op", web.Operator))
	buyer := s.as(t, s.account(t, "bai", web.Buyer))
	s.account(t, "anna", web.Anchor)
	session := operator.call("POST", "/api/v1/sessions", object{"title": "第一场", "starts_at": time.Now().UTC(), "anchors": []string{"anna"}}, 201)
	base := fmt.Sprintf("/api/v1/sessions/%.0f", session.num("id"))
	operator.call("POST", base+"/start", nil, 200)
	room := join(t, buyer, base, "")
	room.send(object{"type": "chat", "id": "c1", "text": "my secret"})
	said := room.await("chat", func(e object) bool { return e.str("text") == "my secret" })

	awaitTrue(t, "the export has it", func() bool {
		status, body := operator.try("GET", base+"/records.csv", nil)
		return status == 200 && strings.Contains(string(body), "my secret")
	})
	buyer.call("GET", base+"/records.csv", nil, 403)
	operator.call("GET", "/api/v1/sessions/99999/records.jsonl", nil, 404)

	hold := operator.call("POST", "/api/v1/records/holds", object{"session_id": session.num("id"), "account": "bai", "reason": "case 1"}, 201)
	operator.call("POST", "/api/v1/records/holds", object{"reason": "everything"}, 422)
	operator.call("POST", "/api/v1/records/holds", object{"account": "nobody", "reason": "x"}, 404)
	operator.call("POST", "/api/v1/records/erasures", object{"account": "bai", "reason": "asked at the counter"}, 202)
	erasure := func() object { return operator.call("GET", "/api/v1/records/erasures", nil, 200).list("items")[0] }
	awaitTrue(t, "the hold keeps it", func() bool { return erasure().num("held") == 1 })
	operator.call("POST", fmt.Sprintf("/api/v1/records/holds/%.0f/release", hold.num("id")), nil, 200)
	gone := room.await("forgotten", func(object) bool { return true })
	if gone.obj("user").str("id") != said.obj("user").str("id") {
		t.Errorf("%v", gone)
	}
	awaitTrue(t, "the person is forgotten", func() bool { return erasure().str("done_at") != "" })
	if _, body := operator.try("GET", base+"/records.jsonl", nil); strings.Contains(string(body), "my secret") || strings.Contains(string(body), `"name":"bai"`) || !strings.Contains(string(body), `"seq":`) {
		t.Errorf("the export: %s", body)
	}
	latecomer := join(t, operator, base, "?after=0")
	latecomer.await("chat", func(e object) bool {
		return e.num("seq") == said.num("seq") && e.str("text") == "" && e.obj("user").str("name") == ""
	})

	operator.call("POST", "/api/v1/records/runs", object{"kind": "retain", "dry_run": true}, 202)
	awaitTrue(t, "the trial has a report", func() bool {
		for _, r := range operator.call("GET", "/api/v1/records/runs", nil, 200).list("items") {
			if r["dry_run"] == true && r.obj("report") != nil {
				return r.obj("report").num("events") == 0
			}
		}
		return false
	})
	if st := operator.call("GET", "/api/v1/records", nil, 200); st.num("keep_months") != 36 || st.num("files") != 0 {
		t.Errorf("%v", st)
	}
	audit, err := s.accounts.Audit(t.Context(), 0, 100)
	must(t, err)
	acts := map[string]bool{}
	for _, e := range audit {
		acts[e.Action] = e.Actor == "op"
	}
	for _, act := range []string{"records.export", "records.hold", "records.forget", "records.release", "records.run"} {
		if !acts[act] {
			t.Errorf("the audit lacks %s by the operator", act)
		}
	}
	commandRecords(t, s, url, int64(session.num("id")))
}

// commandRecords does beside the running server what has a command.
func commandRecords(t *testing.T, s *testShop, url string, session int64) {
	t.Helper()
	ok := func(args ...string) string {
		t.Helper()
		code, out, errs := command(t, append(args, "--database-url", url, "--data-dir", t.TempDir())...)
		if code != 0 {
			t.Fatalf("%v: exit %d: %s", args, code, errs)
		}
		return out
	}
	if out := ok("records", "export", fmt.Sprint(session), "--format", "jsonl"); strings.Count(out, "\n") < 2 {
		t.Errorf("%q", out)
	}
	var hold struct{ ID int64 }
	must(t, json.Unmarshal([]byte(ok("records", "hold", "--session", fmt.Sprint(session), "--from", "2022-07-08T11:00:00Z", "--reason", "case 2")), &hold))
	if out := ok("records", "holds"); strings.Count(out, "\n") != 2 || !strings.Contains(out, "case 2") {
		t.Errorf("%q", out)
	}
	ok("records", "release", fmt.Sprint(hold.ID))
	ok("records", "forget", "bai", "--reason", "again")
	awaitTrue(t, "a trial by command", func() bool { // the server may have the lease for a moment
		code, out, _ := command(t, "records", "run", "archive", "--dry-run", "--database-url", url, "--data-dir", t.TempDir())
		return code == 0 && strings.Contains(out, `"events":0`)
	})
	for _, bad := range [][]string{
		{"records", "hold", "--reason", "x"},
		{"records", "export", "99999"},
		{"records", "run", "archive", "--record-months", "12"},
		{"records", "release", "99999"},
	} {
		if code, _, errs := command(t, append(bad, "--database-url", url, "--data-dir", t.TempDir())...); code == 0 || errs == "" {
			t.Errorf("%v: exit %d %q", bad, code, errs)
		}
	}
}
