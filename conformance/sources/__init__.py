"""Fuzzing of a device's data sources: whatever lies in a folder or file, its samples are read right, or it is refused.

Cases are made of good data, deterministically from a seed: files are damaged, renamed, moved, put beside. A reader that
shares nothing with the device says what the samples are, where there is one: for folders of pictures the case itself
knows, for PNG, zip, npy, CSV, IDX and pickles there are readers here. Other pictures are only read or refused.

    $ python -m fedrela.conformance.sources --cases 100000            # of each source; a few minutes for each

  __main__.py     the command
  trees.py        folders of pictures, and what is in them
  tables.py       npz, CSV, IDX and CIFAR files
  zips.py         an independent writer and reader of zips, byte by byte
  png_reader.py   an independent reader of PNG
  readers.py      independent readers of the other formats
  verdicts.py     what the device makes of a case, and whether that is right
"""
