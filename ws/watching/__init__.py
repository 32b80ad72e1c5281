"""What those who watch are shown: metrics, health, logs, traces."""
