{#
What models share that read a raw table and keep each row of it with the reason why it does not count. Keys are taken as a
whole: in a partial build, the rows of changed keys that stand in other files come from the table as the last build left it.
Part of the rules (macros/rules.sql).
#}

{# Rows of a raw table that this build reads: those of accepted files, in a partial build of changed ones. #}
{% macro raw_rows_of_build(table) -%}
    select * from {{ source('raw', table) }}
    where _file_id in (
        select file_id from {{ ref('stg_ops__landed_files') }}
        where is_accepted {% if is_partial() %}and is_changed{% endif %}
    )
{%- endmacro %}


{# The row as it was sent: equal rows have equal keys. #}
{% macro content_key(columns) -%}
    md5(row({{ columns | join(', ') }})::text)::uuid
{%- endmacro %}


{#
These columns of a CTE's rows and, in a partial build, of the rows of changed keys in files that did not change. ref() is called in
any build, so that dbt knows of the dependency.
#}
{% macro with_unchanged_rows(rows, columns, key) -%}
    {%- set changed_keys = ref('stg_' ~ var('source') ~ '__changed_keys') -%}
    select {{ columns | join(', ') }}
    from {{ rows }}
    {%- if is_partial() %}
    union all
    select unchanged.{{ columns | join(', unchanged.') }}
    from {{ this }} as unchanged
    where
        unchanged.{{ key }} in (select {{ key }} from {{ changed_keys }})
        and unchanged.file_id not in (
            select file_id from {{ ref('stg_ops__landed_files') }} where is_changed
        )
    {%- endif %}
{%- endmacro %}


{#
Rows of a table that has keys of its own, each with the content of the next row of its key that can be read too: of several, the
one that was landed last counts. `key` begins with the column that the changed keys have.
#}
{% macro with_next_row(rows, columns, key) -%}
    {%- set kept = ['file_id', 'line_number', 'content_key'] + columns + ['row_fault'] %}
    select
        *,
        case
            when row_fault is null
                then lead(content_key) over (
                    partition by {{ key | join(', ') }}, row_fault is null
                    order by file_id, line_number
                )
        end as next_content_key
    from (
        {{ with_unchanged_rows(rows, kept, key[0]) }}
    ) as candidates
{%- endmacro %}


{# First cases of a reason: the row's own fault, then a later row of its key. #}
{% macro fault_or_replaced(rows='') -%}
    {%- set of = rows ~ '.' if rows else '' -%}
    when {{ of }}row_fault is not null then {{ of }}row_fault
        when {{ of }}content_key = {{ of }}next_content_key then 'exact duplicate'
        when {{ of }}next_content_key is not null then 'replaced by a later row of the same key'
{%- endmacro %}
