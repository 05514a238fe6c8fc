"""What a person looks at: the page of a gate run and the dashboard, self-contained HTML without a script."""
