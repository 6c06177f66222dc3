"""The vocabulary of residues: the ids that `tokenise` writes and a training loop reads."""

SPECIALS = ("<pad>", "<cls>", "<sep>", "<mask>", "<unk>")
RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
# Any letter that is no residue: ambiguous (B, Z, J), rare (U, O), a stop.
UNKNOWN_RESIDUE = "X"

# By letter, as the trainer of a byte-pair vocabulary orders its alphabet.
VOCABULARY: tuple[str, ...] = (*SPECIALS, *sorted(RESIDUES + UNKNOWN_RESIDUE))
PAD, CLS, SEP, MASK, UNK = range(len(SPECIALS))
