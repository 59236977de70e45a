"""The long-tail study: does re-labeling help, how much, against everything else, and when does it not?

Federated arms train through the emulated fleet with exported programs. References that see all data at once are
labeled so, and are the only training that PyTorch does itself.

    cli          `fedrela study longtail`, the one door        config      what a study's TOML may say
    methods      FedAvg, focal loss, FedLoGe, ...              selection   a part of a study
    models, losses, heads   what is exported and trained

    data/        datasets: images by path, as arrays; images: the formats that are read; people: tables by owner,
                 folds of owners never trained on; class_orders: which classes are rare; prepared: what cells get
    runs/        cells: every run that a study asks for, named by content; resume: those that are not finished;
                 groups: a trunk and its branches; setups: what they share; rows: their lines; parallel: several at a
                 time; tasks: a trunk's and a branch's task; snapshots, memories: what goes on after a kill; attentive,
                 pause: devices that are counted and can stand still;
                 bundles, start: what is exported, and its start weights; fleet: one task of an emulated fleet;
                 centralized: references on the pooled data; metrics: recalls, calibration, which way labels moved;
                 result_files: JSON lines that survive a kill -9; progress
    pages/       answers: how close to pooled data; power: what the seeds could have shown; people: recalls over people;
                 comparison: means, spreads, paired differences; report: comparisons from finished cells;
                 tables, plots, publish: what `fedrela study longtail` shows;
                 page, sections, text, evidence: docs/study.md from study/results

torch, and with it `export`, is imported by `models`, `losses`, `heads`, `centralized` and `start` alone, which are
loaded only where a model is made: importing it takes seconds and much memory.
"""
