"""The pytest half: gates, what they record, and the table at the end. Beside the plugin, all that knows pytest."""
