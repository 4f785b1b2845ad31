"""What lies where in the head, as signed distances.

The canonical frame of every distance: millimetres, origin midway between both pori at the height of
the internal auditory canals, x to the left, y anterior, z up.
"""
