{# What a shop wrote where staging may not read it: for shares of money and groups, never for a mart. None of them fails. #}

{#
A number as a person would read it: Postgres' own reading of it first, which is not staging's; else without what is no
digit, with thousands apart ("1,899.00", "1.899,00") or a decimal comma ("12,5"). One point alone is a decimal point, as
staging has it ("2.500 kg"). Null where even a person could not say.
Whatever as_number reads is read here, to 17 decimals the same: what marts have, raw has.
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


{# Units times price as sent; null where that is more than any line of a shop, for it is no estimate of one. #}
{% macro estimated_amount(quantity, price) -%}
    case
        when abs({{ estimated_number(quantity) }} * {{ estimated_number(price) }}) < 1e10
            then {{ estimated_number(quantity) }} * {{ estimated_number(price) }}
    end
{%- endmacro %}


{# Day in front of a time that staging may not read. #}
{% macro estimated_date(text) -%}
    case
        when left(trim({{ text }}), 10) ~ '^(19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}$'
            and pg_input_is_valid(left(trim({{ text }}), 10), 'date')
            then left(trim({{ text }}), 10)::date
    end
{%- endmacro %}


{#
Records of a table that landing could not read (ops.rejected_lines), cut into fields at whatever cuts them into as many
as the file has columns. A CTE: fields are read by the names that the file gives them, with unread_field().
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
