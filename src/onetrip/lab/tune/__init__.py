"""`onetrip tune`: a campaign that searches an operator's configurations and keeps the best."""
