"""What an operator watches: history, metrics, logs, and how good the models are."""
