{#
Estimates of values that staging may reject, for shares of money and groups, never for a mart. None
of the macros fails.
#}

{#
A number as a person would read it: first as Postgres reads it, which staging does not; else without
other signs than digits, with groups of thousands ("1,899.00", "1.899,00") or a decimal comma
("12,5"). A single point is a decimal point, as in staging ("2.500 kg"). Null where even a person
could not decide. Every text that as_number reads gives the same number here, up to 17 decimals, so
that raw contains what the marts contain.
#}
{% macro estimated_number(text) -%}
    case
        when {{ text }} ~ '^\s*[+-]?[0-9.]{1,100}([eE](\+?0?[0-9]|-[0-9]{1,2}))?\s*$'
            and pg_input_is_valid({{ text }}, 'numeric')
            then {{ text }}::numeric
        when {{ written(text) }} ~ '^-?[1-9][0-9]{0,2}(,[0-9]{3}){1,4}(\.[0-9]{0,80})?$'
            then replace({{ written(text) }}, ',', '')::numeric
        when {{ written(text) }} ~ '^-?[1-9][0-9]{0,2}((\.[0-9]{3}){2,4}(,[0-9]{0,80})?|\.[0-9]{3},[0-9]{0,80})$'
            then replace(replace({{ written(text) }}, '.', ''), ',', '.')::numeric
        when {{ written(text) }} ~ '^-?[0-9]{1,15}([,.][0-9]{0,80})?$'
            then replace({{ written(text) }}, ',', '.')::numeric
    end
{%- endmacro %}


{% macro written(text) -%}
    regexp_replace(left({{ text }}, 80), '[^0-9,.-]', '', 'g')
{%- endmacro %}


{# Units times price as sent; null where the product is larger than any line of a shop. #}
{% macro estimated_amount(quantity, price) -%}
    case
        when abs({{ estimated_number(quantity) }} * {{ estimated_number(price) }}) < 1e10
            then {{ estimated_number(quantity) }} * {{ estimated_number(price) }}
    end
{%- endmacro %}


{# The date at the beginning of a time that staging may reject. #}
{% macro estimated_date(text) -%}
    case
        when left(trim({{ text }}), 10) ~ '^(19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}$'
            and pg_input_is_valid(left(trim({{ text }}), 10), 'date')
            then left(trim({{ text }}), 10)::date
    end
{%- endmacro %}


{#
Query for the records of a table that landing could not read (ops.rejected_lines), split at the
delimiter that gives about as many fields as the file has columns. unread_field() reads a field by
the file's name of the column.
#}
{% macro unread_records(table_name) -%}
    select
        lines.file_id,
        lines.line_number,
        'could not be read: ' || lines.reason as rejected_reason,
        files.column_names,
        cut.fields

    from {{ source('ops', 'rejected_lines') }} as lines

    inner join {{ source('ops', 'landed_files') }} as files
        on lines.file_id = files.file_id

    cross join lateral (
        select string_to_array(encode(lines.content, 'escape'), delimiters.delimiter) as fields
        from unnest(array[',', ';', e'\t', '|']) with ordinality as delimiters (delimiter, place)
        order by
            abs(
                cardinality(string_to_array(encode(lines.content, 'escape'), delimiters.delimiter))
                - cardinality(files.column_names)
            ) asc nulls last,
            delimiters.place asc
        limit 1
    ) as cut

    where
        files.table_name = '{{ table_name }}'
        and lines.file_id in (select file_id from {{ ref('stg_ops__landed_files') }} where is_accepted)
{%- endmacro %}


{% macro unread_field(header) -%}
    trim(both e' "\r\n' from fields[array_position(column_names, '{{ header }}')])
{%- endmacro %}
