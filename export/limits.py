"""How large a program's open dimensions may be."""

DEFAULT_MAX_BATCH = 64  # of ExecuTorch's train_step and predict, whose memory is planned ahead for the largest batch
MAX_RELABEL_SAMPLES = 1 << 13  # of ExecuTorch's relabel, which takes all of a device's samples at once
UNBOUNDED = 1 << 20  # of a traced graph whose runtime asks for no limit
