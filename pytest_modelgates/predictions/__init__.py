"""The log of predictions: serving writes it; monitoring, promotion and the gates read it."""
