#include "core/values/time.h"
