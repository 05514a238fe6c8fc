"""The pytest half: gates, what they record, and the table at the end. The only room that knows pytest."""
