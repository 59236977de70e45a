"""The words of docs/study.md that no result changes. Imports nothing."""

TITLE = """# The long-tail study

Is federated learning with labels that never leave their device as good as pooling the data? Does FedReLa help, how
much, against what else, and when does it not?"""

INTRODUCTION = """This page is written by `python -m fedrela.study.pages.page` from the JSON lines in `study/results/`;
no number here was typed by hand. A line holds the command, the seed and, but for the oldest, the processor of its cell;
`fedrela study longtail NAME --seed N --method M` makes it again. Another processor gives other bits, and after some
rounds other shares.

Each comparison trains a *trunk* through the emulated fleet: real clients, exported programs, the real coordinator.
From its checkpoint two branches go on with the same, smaller learning rate and the same random numbers; one keeps its
labels, one re-labels in its first round. Server momentum starts at zero in both. Tests are on a balanced test set.
*many*, *medium* and *few* are the most frequent 30 %, the middle 40 % and the rarest 30 % of the classes; where a
setting says "classes drawn", each seed draws which class is how frequent, for all methods alike.

Shares are percent: the mean over the seeds that a table names, ± their standard deviation where there are several.
Δ is re-labeled minus labels kept, paired by seed, in percentage points, with a 95 % interval of Student's t where there
are several seeds. Two or three seeds give wide intervals: one that holds 0 is no evidence of a difference, and none of
its absence either. A single seed has no interval and proves nothing alone."""

HELP = """The setting that FedReLa was made for: a long tail, uneven devices, an ordinary small network."""
PEOPLE = """Real owners: devices are people, hospitals or a company's groups of customers, with the samples that are
theirs. Of WISDM's people, who is tested was never trained on: recalls are pooled over people and their seeds, and
intervals are of the people, drawn again 2 000 times. Of hospitals and groups a quarter of each class is tested on,
split anew for each seed."""
HARD = """More extreme imbalance with classes absent on most devices, whole halves of the classes rare (step-wise),
classes spread more and less evenly over devices, and other networks."""
METHODS = """FedReLa is a module: every method below is trained after its paper, then branches with and without
re-labels. Nothing is left out: a method that gains nothing stands here too. FedETF and FedLoGe replace the last layer
(`study/heads.py` says how, and where it differs from the authors' code)."""
GAPS = """What sees more than a federation may: the pooled data (trained by PyTorch itself, with as many passes), and a
federated *oracle* whose loss knows the global class counts, which no device or server does. The columns say how many
points they are ahead of FedAvg, without and with re-labels; smaller is better, negative means overtaken."""
CLOSING = """Every branch begins with the weights of the same trunk. What no task can ask of a device is trained by
the study's own loop (`study/loop/`): the same programs, the same draws and the same mean, without a coordinator. Δ is
against FedAvg's branch of the same loop. Balanced softmax with the fleet's counts knows what no server knows; with
ε 8 it knows counts with noise that hides whether one device took part. The generator draws from a Gaussian of each
class among the device's own principal components. Noise on sums is that of differential privacy, with changes clipped
to the median norm of the round before; no ε is claimed for it.

What of this devices should do is decided by a rule that was written before any of it ran
(`study/pages/confirmation.py`): the candidate is chosen on CIFAR-10 alone, among what asks of a device nothing new, by
balanced recall beside plain FedReLa's, the many losing three points at most; a gain is claimed only if Fashion-MNIST,
with seeds that no choice has seen, confirms it."""
SENSITIVITY = """One thing is changed at a time; `FedReLa` is the default (τ 5 %, five passes, once, after 80 % of the
rounds, learning rate x 0.1)."""
COST = """Most re-labels take a sample from a more common class. What that bought and what it cost, counted over all
comparisons above under the variant `FedReLa` (an interval that does not hold 0 counts as sure):"""
MOVES = """Which way labels moved. Devices tell nobody; the study knows, since it knows every device's secret."""
NOT = """- Where devices hold nearly balanced classes there is nothing to move.
- Where common classes must not lose any recall: look at Δ many above before anything else.
- Where the model is still poor on all classes, its opinion of which samples look rare is worth little: start later.
- Where a method already corrects the prior well, the gain may be gone: look for the method in the table above.
- Re-labeling moves a *decision boundary*; it makes no new information. A class that no device holds stays unknown."""
USE = """```toml
# mine.toml
name = "mine"
seeds = [1, 2, 3]
methods = ["fedavg", "balanced-softmax", "smote"]
references = ["centralised", "centralised-balanced"]
only_seeds = { centralised = [1], centralised-balanced = [1] }   # what is dear, with one seed

[data]
name = "my images"
path = "images"                 # train/<class>/*.png and test/<class>/*.png, a .zip of them, IDX, CIFAR batches, .npz;
                                # pictures of any size: their middle in the model's, as a device makes it

[model]
build = "my_module:build"       # as for `fedrela export`
input = "uint8:3x32x32"
augment = ["crop", "flip"]

[training]
rounds = 20                     # 50 where nothing is said; also epochs, batch_size, lr, momentum, weight_decay

[[setting]]
name = "50:1, α 0.3"
imbalance = 50
alpha = 0.3
```

`fedrela study longtail mine.toml` shows how far it is, appends a line to `runs/study/mine.jsonl` for every finished
cell, and ends with tables, plots and one HTML page. It begins with a line on how many of how many samples are used, by
class: data that are imbalanced already are used whole with `profile = "as-is"` in the setting. Trained models are in
`runs/study/models/`, a folder for each federated cell; `docs/operations.md` says how to predict with one.
`--jobs 2` runs two groups of cells at a time, with the same results. Stop it as you like, with kill -9 too: called
again, it goes on from the last round that was saved, to the bit as if it had not been stopped; it stands still while
the file of `--pause FILE` is there. A cell is named by a hash of all that its result depends on (the pixels included,
the path not), so a cell that two studies share has the same name in both. `--seed`, `--method`, `--reference`,
`--setting` and `--variant` run a part; the parts add up. A model is known by the name of its function: change the name
when you change the model. A variant with `treatment = { relabels = "soft" }` is trained by the study's own loop;
`study/treatments.py` names what else there is.

A model that no processor trains in time takes a GPU: with `--device cuda` the emulated devices train by PyTorch there,
once it has passed the golden steps of the exported bundle, and lines say so; everything else stays as it is.
`fedrela study longtail cifar10-paper --device cuda` is the scale of the paper's experiments.

`fedrela study longtail --quick` needs no data and takes a few minutes."""
