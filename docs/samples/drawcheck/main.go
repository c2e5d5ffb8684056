// Command drawcheck recomputes a lucky draw from its proof (GET /api/v1/sessions/{id}/draws/{draw}/proof), on standard input:
// from the revealed seed and the tickets it finds the winners itself. Arguments are tickets that must have taken part.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

type proof struct {
	Rule, Terms, Commitment, Seed string
	TermsHash                     string `json:"terms_hash"`
	EntrantsHash                  string `json:"entrants_hash"`
	Entrants, Winners             []string
}

func main() {
	var p proof
	if err := json.NewDecoder(os.Stdin).Decode(&p); err != nil {
		fail("not a proof: " + err.Error())
	}
	seed, err := hex.DecodeString(p.Seed)
	list := sha256.Sum256([]byte(strings.Join(append(slices.Clone(p.Entrants), ""), "\n")))
	want(err == nil && len(seed) == 32 && hash(seed) == p.Commitment, "the seed is the one that was committed to")
	want(p.Rule == "hmac-sha256-rank-1" && hash([]byte(p.Terms)) == p.TermsHash, "the terms are those that were published")
	want(strings.Contains(p.Terms, "\nrule: "+p.Rule+"\ncommitment: "+p.Commitment+"\n"), "the terms name rule and commitment")
	want(hex.EncodeToString(list[:]) == p.EntrantsHash, "the list of entrants has its hash")
	want(slices.IsSorted(p.Entrants) && len(slices.Compact(slices.Clone(p.Entrants))) == len(p.Entrants), "nobody is on the list twice")
	score := map[string]string{}
	for i, ticket := range p.Entrants {
		mac := hmac.New(sha256.New, seed)
		mac.Write(binary.BigEndian.AppendUint64(list[:], uint64(i)))
		score[ticket] = string(mac.Sum(nil))
	}
	ranked := slices.SortedFunc(slices.Values(p.Entrants), func(a, b string) int { return strings.Compare(score[a], score[b]) })
	var promised int
	_, err = fmt.Sscanf(p.Terms[max(0, strings.Index(p.Terms, "\nwinners: ")):], "\nwinners: %d\n", &promised)
	want(err == nil && promised > 0, "the terms name the number of winners")
	want(slices.Equal(ranked[:min(promised, len(ranked))], p.Winners), "the winners are those with the lowest scores")
	for _, ticket := range os.Args[1:] {
		want(slices.Contains(p.Entrants, ticket), "ticket "+ticket+" took part")
	}
}

func hash(b []byte) string { sum := sha256.Sum256(b); return hex.EncodeToString(sum[:]) }

func want(ok bool, what string) {
	if !ok {
		fail("NOT TRUE: " + what)
	}
	fmt.Fprintln(os.Stdout, "ok: "+what)
}

func fail(why string) { fmt.Fprintln(os.Stderr, why); os.Exit(1) }
