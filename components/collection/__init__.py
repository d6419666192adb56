"""Pictures that people give: checked, kept, listed, and found again."""
