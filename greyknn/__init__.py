"""Fill the gaps of mixed tables from near rows, near by grey relational grade."""

from greyknn.api import impute
from greyknn.grades import grey_relational_coefficients, grey_relational_grades
from greyknn.imputer import Donor, GreyKNNImputer
from greyknn.methods import METHODS, Method

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "Donor",
    "GreyKNNImputer",
    "Method",
    "grey_relational_coefficients",
    "grey_relational_grades",
    "impute",
]
