"""Pictures that people give: checked, kept, versioned, and found again."""
