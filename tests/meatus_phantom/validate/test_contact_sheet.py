import numpy as np

from meatus_phantom.validate.contact_sheet import Picture, contact_sheet


def test_the_contact_sheet_has_a_column_of_five_for_each_picture():
    pixels, labels = np.random.default_rng(0).normal(size=(60, 60)), np.zeros((60, 60), np.uint8)
    labels[20:30, 20:30] = 1
    one = Picture("ldn hrT2", (1.0, 1.0), (pixels, labels), (pixels, labels), (5.0, 5.0))

    figure = contact_sheet([one, one])

    assert len(figure.axes) == 10
    assert figure.axes[0].get_title() == "ldn hrT2"
