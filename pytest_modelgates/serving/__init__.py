"""From rows to logged predictions: sources, kill switch, schema, adapter. No path leads from here to an order."""
