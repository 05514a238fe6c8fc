"""The worked example: twenty real assets over 33 years, four models."""
