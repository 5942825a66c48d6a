// What nearly every test includes, compiled once: half a second less for each file. Tests include
// what they use nevertheless; -Db_pch=false builds them without this, for ccache for instance.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "gradcheck.h"
#include "sinew/io.h"
#include "sinew/nn.h"
#include "sinew/train.h"
