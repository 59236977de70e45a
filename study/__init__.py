"""The long-tail study: does re-labeling help, how much, against everything else, and when does it not?

Federated arms train through the emulated fleet with exported programs. References that see all data at once are
labeled so, and are the only training that PyTorch does itself.

    config      what a study's TOML may say            cells         every run that it asks for, named by content
    methods     FedAvg, focal loss, FedLoGe, ...       datasets      images by path, as arrays
    fleet       one task of an emulated fleet          longtail      the study: trunks, then branches, resumable
    tasks       a trunk's and a branch's task          page        docs/study.md from the results
    centralized references on the pooled data          metrics       recalls, calibration, which way labels moved
    results     JSON lines that survive a kill -9      comparison    means, spreads, paired differences
    report      tables, plots and a page               cli           `fedrela study longtail`

torch, and with it `export`, is imported by `models`, `losses`, `heads`, `centralized` and `start` alone, which are
loaded only where a model is made: importing it takes seconds and much memory.
"""
