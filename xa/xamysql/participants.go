package xamysql

import (
	"errors"
	"fmt"
	"strings"

	"xaproxy/xa"
)

// Values of claim.outcome and node.state.
const (
	markCommit = "C"
	markAbort  = "A"
	stateLive  = "L"
	stateDead  = "D"
)

// participantsVersion is the first byte of claim.participants. Two bytes follow, how many participants there are, high
// byte first, and as many bquals of xa.BranchLen bytes.
const participantsVersion = 1

const participantsHead = 3

var errParticipants = errors.New("claim's participants are damaged")

// encodeParticipants is the content of claim.participants. It fails when a bqual is not one.
func encodeParticipants(bquals []string) (string, error) {
	if len(bquals) > 1<<16-1 {
		return "", fmt.Errorf("%d participants are too many", len(bquals))
	}
	var b strings.Builder
	b.Grow(participantsHead + len(bquals)*xa.BranchLen)
	b.WriteByte(participantsVersion)
	b.WriteByte(byte(len(bquals) >> 8))
	b.WriteByte(byte(len(bquals)))
	for _, q := range bquals {
		if _, err := xa.ParseQualifier(q); err != nil {
			return "", fmt.Errorf("participants: %w", err)
		}
		b.WriteString(q)
	}
	return b.String(), nil
}

// decodeParticipants is the inverse of encodeParticipants. Whatever is not exactly as long as it says is an error: a
// list that lost its end would let a claim be collected while a branch is still prepared.
func decodeParticipants(s string) ([]string, error) {
	if len(s) < participantsHead || s[0] != participantsVersion {
		return nil, fmt.Errorf("%w: %d bytes", errParticipants, len(s))
	}
	count := int(s[1])<<8 | int(s[2])
	s = s[participantsHead:]
	if len(s) != count*xa.BranchLen {
		return nil, fmt.Errorf("%w: %d bytes for %d bquals", errParticipants, len(s), count)
	}
	var bquals []string
	for ; s != ""; s = s[xa.BranchLen:] {
		if _, err := xa.ParseQualifier(s[:xa.BranchLen]); err != nil {
			return nil, fmt.Errorf("%w: %w", errParticipants, err)
		}
		bquals = append(bquals, s[:xa.BranchLen])
	}
	return bquals, nil
}

// outcomeOf decodes claim.outcome.
func outcomeOf(mark string) (xa.Outcome, error) {
	switch mark {
	case markCommit:
		return xa.Committed, nil
	case markAbort:
		return xa.Aborted, nil
	}
	return xa.Unknown, fmt.Errorf("claim's outcome is %q", mark)
}
