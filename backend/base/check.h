// CHECK(cond, "fmt", args...): a broken invariant ends the program, in every build. Never for bad input (result.h).
#pragma once
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#define CHECK(cond, ...)                                                                                             \
    do {                                                                                                             \
        if (!(cond)) [[unlikely]] {                                                                                  \
            std::fputs(                                                                                              \
                fmt::format("{}:{}: broken invariant {}: {}\n", __FILE__, __LINE__, #cond, fmt::format(__VA_ARGS__)) \
                    .c_str(),                                                                                        \
                stderr);                                                                                             \
            std::abort();                                                                                            \
        }                                                                                                            \
    } while (0)
