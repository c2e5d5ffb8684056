package pictures

// Orientation is for the fuzz test.
func Orientation(raw []byte) int { return orientation(raw) }
