"""From rows to logged predictions. No path leads from here to an order."""
