"""What a practice host is made of: recipes with their history, and the folder that holds it. Starts nothing."""
