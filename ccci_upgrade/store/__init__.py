"""What this tool keeps on disk."""
