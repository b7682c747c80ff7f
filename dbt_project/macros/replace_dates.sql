{#
    Incremental strategy `replace_dates`, for feature tables: a run replaces whole dates. These are
    the date that ends on as_of_date, and grid dates that depend on a day which a changed file
    touches. dbt's delete+insert deletes only keys that it inserts, so it would keep old rows of a
    date with fewer new rows.

    `until` is the column with the first day that a row does not depend on.

    --full-refresh builds the grid again in place (the models have `full_refresh: false`); dbt would
    drop the table, the views that read it, and scored dates outside of the grid.
#}

{% macro is_replaced(until, first_touched_date) -%}
    (
        {{ until }} = {{ as_of_date() }}
        {%- if first_touched_date %}
        or (extract(day from as_of_date) = 1 and {{ until }} > {{ first_touched_date }})
        {%- endif %}
    )
{%- endmacro %}

{#
    Whether the query is one of all its dates, whatever was built before: a first build, or the query that the server
    restricts to one customer (serve/fresh.py).
#}
{% macro is_of_all_dates() -%}
    {{ return(execute and (not is_incremental() or var('of_one_customer', false))) }}
{%- endmacro %}

{# Condition for the dates to build: existing ones to replace, and missing ones that are wanted. #}
{% macro is_due(wanted, until='as_of_date', keys=['as_of_date']) -%}
    {%- if is_of_all_dates() -%}
    {{ wanted }}
    {%- else -%} {#- also while dbt parses, so that it sees the ref() -#}
    {%- set touched = first_touched_date() -%}
    case
        -- compare with the next date in the key's index: `exists` is planned as a scan of the table
        when (dates.{{ keys | join(', dates.') }}) = (
            select {{ keys | join(', ') }} from {{ this }}
            where ({{ keys | join(', ') }}) >= (dates.{{ keys | join(', dates.') }})
            order by {{ keys | join(', ') }}
            limit 1
        ) then {{ is_replaced(until, "'-infinity'" if flags.FULL_REFRESH else touched) }}
        else {{ wanted }}
    end
    {%- endif -%}
{%- endmacro %}

{% macro first_touched_date() -%}
    (select min(first_touched_date) from {{ ref('int_changed_files') }})
{%- endmacro %}

{% macro get_incremental_replace_dates_sql(args) -%}
    {%- set changed = run_query('select ' ~ first_touched_date()) -%}
    {%- set touched = '-infinity' if flags.FULL_REFRESH else changed.columns[0][0] -%}
    delete from {{ args.target_relation }}
    where {{ is_replaced(args.unique_key, "'" ~ touched ~ "'" if touched else none) }};

    {{ get_insert_into_sql(args.target_relation, args.temp_relation, args.dest_columns) }}
{%- endmacro %}
