"""How data are laid out: folders of classes, and how a data set is divided among the devices of a trial."""
