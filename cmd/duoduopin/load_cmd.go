package main

// LoadCmd will be the load generators.
type LoadCmd struct{}
