"""What users hand in: data, sets and names, and the errors for what cannot be used."""
