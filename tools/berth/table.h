/* SPDX-License-Identifier: MIT */
/*
 * Aligned tables for people.
 */
#ifndef BERTH_TOOL_TABLE_H
#define BERTH_TOOL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define TABLE_CELL_SIZE 256
#define TABLE_COLUMNS_MAX 8

struct column {
    const char *title;
    /** Writes a row's cell, terminated; nothing stands for "-". */
    void (*cell)(const json_t *row, const char *key, char text[TABLE_CELL_SIZE]);
    const char *key; /* for .cell */
    bool right;      /* aligned */
};

/** Prints the titles and a line for each row; at most TABLE_COLUMNS_MAX columns. */
void table_print(const struct column *columns, size_t count, const json_t *rows);

/** Cells: a member of the row as it is; a list of words with commas between. */
void cell_value(const json_t *row, const char *key, char text[TABLE_CELL_SIZE]);
void cell_words(const json_t *row, const char *key, char text[TABLE_CELL_SIZE]);

#endif
