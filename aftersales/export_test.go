package aftersales

// TaxNo is for the table test.
func TaxNo(s string) bool { return taxNo(s) }
