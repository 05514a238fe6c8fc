"""From rows to logged predictions: source, schema check, model, guards, sink. No path leads from here to an order."""
