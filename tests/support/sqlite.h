// What a database makes of SQL that the program wrote.
#pragma once
#include <string>

#include "tests/support/run_program.h"

namespace vks::test {

// The rows that `query` gives once `sql` has been run on an empty database, by Python's sqlite3: a line each, columns
// between spaces. status is not 0 where either is refused.
inline Ran query_sqlite(const std::string& sql, const std::string& query) {
    RunOptions python;
    python.program = "/usr/bin/python3";
    python.input = sql;
    return run_program({"-c",
                        "import sqlite3, sys\n"
                        "db = sqlite3.connect(':memory:')\n"
                        "db.executescript(sys.stdin.read())\n"
                        "for row in db.execute(sys.argv[1]): print(*row)\n",
                        query},
                       python);
}

}  // namespace vks::test
